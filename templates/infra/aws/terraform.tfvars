{%- set mirrored = cookiecutter.__mirror_cloud == 'aws' -%}
# Your answers and choices, which `tofu apply` reads by itself. Commit this file: then everybody's apply says the same.
# No secret belongs here; the key that access_key makes is in the state alone.
region = "eu-central-1" # where the bucket shall be
bucket = {{ cookiecutter.bucket | tojson }}
prefix = "xcom"
name   = {{ ("xcom-" ~ cookiecutter.project_slug)[:58].rstrip('-_') | tojson }}
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
access_key = true

# Pods on EKS{% if cookiecutter.remote_execution %}, here the Remote Execution Agents{% endif %}, without a key:
{%- if cookiecutter.remote_execution %}
service_accounts = [{{ cookiecutter._agents.subject | tojson }}]
{%- else %}
# service_accounts = [{{ cookiecutter._agents.subject | tojson }}]
{%- endif %}
# oidc_provider_arn = "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLE"
# eks_cluster_arn   = "arn:aws:eks:eu-central-1:111122223333:cluster/my-cluster" # EKS Pod Identity in its place

# Deployments on Astro, without a key:
# astro_workload_identities = ["arn:aws:iam::111122223333:role/the-one-that-the-deployment-shows"]

# What else you can choose is in variables.tf.
