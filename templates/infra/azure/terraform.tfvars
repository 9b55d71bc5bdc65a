{%- set mirrored = cookiecutter.__mirror_cloud == 'azure' -%}
# Your answers and choices, which `tofu apply` reads by itself. Commit this file: then everybody's apply says the same.
# No secret belongs here; the SAS that sas_expiry makes is in the state alone.
subscription_id = "00000000-0000-0000-0000-000000000000" # the ID of yours
location        = "westeurope"                           # where the account shall be
storage_account = "mycompanyxcoms"                       # a name that nobody else in Azure has
container       = {{ cookiecutter.bucket | tojson }}
prefix          = "xcom"
name            = {{ ("xcom-" ~ cookiecutter.project_slug)[:58].rstrip('-_') | tojson }}
{%- if mirrored %}
mirror = {
  storage_account = "mycompanyxcoms2" # the account that the mirror's connection names
  container       = {{ cookiecutter.__mirror.split('@')[1].split('/')[0] | tojson }}
  prefix          = {{ cookiecutter.__mirror.split('@')[1].partition('/')[2] | tojson }}
}
{%- endif %}{% if cookiecutter.remote_execution %}

# The agents' state store, beside the XComs:
state_prefix = "state"
{%- endif %}

# Who uses it. Your own machine, by a SAS, as long as this line is there; sas_ip says from which address:
sas_expiry = "2027-01-31T00:00:00Z"
# sas_ip = "203.0.113.7"

# Pods on AKS{% if cookiecutter.remote_execution %}, here the Remote Execution Agents{% endif %}, and deployments on Astro, without a key: issuer and subject as your cluster or the deployment shows them.
# federated = {
#   agents = {
#     issuer  = "https://westeurope.oic.prod-aks.azure.com/TENANT/CLUSTER/"
#     subject = "system:serviceaccount:{{ cookiecutter._agents.subject.replace('/', ':') }}"
#   }
# }

# What else you can choose is in variables.tf.
