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
  default     = {{ cookiecutter.bucket | tojson }}
}

variable "prefix" {
  description = "The folder for XComs in the bucket, as in AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"
  type        = string
  default     = "xcom"
}

variable "name" {
  description = "The name of the service account, and of the role with underscores: 6 to 30 characters"
  type        = string
  default     = {{ ("xcom-" ~ cookiecutter.project_slug.replace('_', '-'))[:30].rstrip('-') | tojson }}
}

variable "xcom_days" {
  description = "Days after which an XCom is deleted, whether or not a row still names it"
  type        = number
  default     = 90
  validation {
    condition     = var.xcom_days >= 1
    error_message = "xcom_days must be 1 or more, such as 90."
  }
}

variable "old_version_days" {
  description = "Days for which a deleted or replaced XCom can still be restored"
  type        = number
  default     = 7
  validation {
    condition     = var.old_version_days >= 1
    error_message = "old_version_days must be 1 or more, such as 7."
  }
}

variable "service_accounts" {
  description = "The Kubernetes service accounts on GKE that may act as this service account, as namespace/name"
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for account in var.service_accounts : can(regex("^[a-z0-9.-]+/[a-z0-9.-]+$", account))])
    error_message = "Each of service_accounts must be namespace/name without wildcards, such as airflow/worker."
  }
}

variable "astro_workload_identities" {
  description = "The workload identities (service accounts) of deployments on Astro that get the same role"
  type        = list(string)
  default     = []
}

variable "service_account_key" {
  description = "Whether to make a key of the service account, for work on your own machine"
  type        = bool
  default     = false
}
