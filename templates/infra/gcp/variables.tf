variable "project" {
  description = "The ID of the Google Cloud project"
  type        = string
}

variable "location" {
  description = "Where the bucket is, such as EU or europe-west3"
  type        = string
}

variable "bucket" {
  description = "The bucket, as in AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"
  type        = string
}

variable "create_bucket" {
  description = "Whether to make the bucket; false where it exists and another state or team owns it: then only the identity"
  type        = bool
  default     = true
}

variable "prefix" {
  description = "The folder for XComs in the bucket, as in AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH, such as xcom or xcom/prod"
  type        = string
  validation {
    condition     = can(regex("^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$", var.prefix))
    error_message = "prefix must be folders without a slash at either end, such as xcom or xcom/prod."
  }
}

variable "mirror" {
  description = "The second bucket of the custom class (AIRFLOW__XCOM_BACKEND__MIRROR) for the same identity; null for none"
  type        = object({ bucket = string, prefix = string, location = optional(string) })
  default     = null
}

variable "state_prefix" {
  description = "The folder of the Remote Execution Agents' state store in the same bucket, with the same rights; null for none"
  type        = string
  default     = null
}

variable "name" {
  description = "The name of the service account, and of the role with underscores: 6 to 30 characters"
  type        = string
}

{% include 'infra/shared/variables.tf' %}
variable "service_accounts" {
  description = "The Kubernetes service accounts on GKE that may act as this service account, as namespace/name"
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for account in var.service_accounts : can(regex("^[a-z0-9.-]+/[a-z0-9.-]+$", account))])
    error_message = "Each of service_accounts must be namespace/name without wildcards, such as xcom-agents/xcom-agent."
  }
}

variable "gke_project" {
  description = "The project of the GKE cluster, whose workload identity pool names the service accounts; null for `project`"
  type        = string
  default     = null
}

variable "astro_workload_identities" {
  description = "The workload identities (service accounts) of deployments on Astro that get the same role"
  type        = list(string)
  default     = []
}

variable "impersonators" {
  description = "Members that may act as this service account, as Astro shows them for a customer-managed identity (serviceAccount:...)"
  type        = list(string)
  default     = []
}

variable "service_account_key" {
  description = "Whether to make a key of the service account, for work on your own machine"
  type        = bool
  default     = false
}

variable "kms_key" {
  description = "A Cloud KMS key that encrypts the bucket (projects/.../cryptoKeys/...), in the bucket's location; null for Google's"
  type        = string
  default     = null
}

variable "labels" {
  description = "Labels of everything that is made here and can have some"
  type        = map(string)
  default     = {}
}

variable "force_destroy" {
  description = "Whether `tofu destroy` deletes the bucket with all XComs in it: every row that names one is an error then"
  type        = bool
  default     = false
}
