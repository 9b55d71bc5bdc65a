{%- set mirrored = cookiecutter.__mirror_cloud == 'gcp' -%}
# Your answers and choices, which `tofu apply` reads by itself. Commit this file: then everybody's apply says the same.
# No secret belongs here; the key that service_account_key makes is in the state alone.
project  = "my-project" # the ID of yours
location = "EU"         # where the bucket shall be
bucket   = {{ cookiecutter.bucket | tojson }}
prefix   = "xcom"
name     = {{ ("xcom-" ~ cookiecutter.project_slug.replace('_', '-'))[:30].rstrip('-') | tojson }}
{%- if mirrored %}
mirror = {
  bucket = {{ cookiecutter.__mirror.split('@')[1].split('/')[0] | tojson }}
  prefix = {{ cookiecutter.__mirror.split('@')[1].partition('/')[2] | tojson }}
}
{%- endif %}{% if cookiecutter.remote_execution %}

# The agents' state store, beside the XComs:
state_prefix = "state"
{%- endif %}

# Who uses it. Your own machine, by a key, as long as this line is there:
service_account_key = true

# Pods on GKE{% if cookiecutter.remote_execution %}, here the Remote Execution Agents{% endif %}, without a key; gke_project if the cluster is in another project:
{%- if cookiecutter.remote_execution %}
service_accounts = [{{ cookiecutter._agents.subject | tojson }}]
{%- else %}
# service_accounts = [{{ cookiecutter._agents.subject | tojson }}]
{%- endif %}
# gke_project = "my-cluster-project"

# Deployments on Astro, without a key: their own service account gets the role, or a member may act as this one.
# astro_workload_identities = ["the-one-that-the-deployment-shows@astro-project.iam.gserviceaccount.com"]
# impersonators             = ["serviceAccount:the-member-that-astro-shows"]

# What else you can choose is in variables.tf.
