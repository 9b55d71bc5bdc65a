variable "region" {
  description = "The region of the bucket, such as eu-central-1"
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
  description = "The name of the policy, of the role, and with -local behind it of the user"
  type        = string
  default     = {{ ("xcom-" ~ cookiecutter.project_slug)[:58].rstrip('-_') | tojson }}
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

variable "oidc_provider_arn" {
  description = "The IAM OIDC provider of your EKS cluster (arn:aws:iam::ACCOUNT:oidc-provider/...); null for no pods"
  type        = string
  default     = null
}

variable "service_accounts" {
  description = "The Kubernetes service accounts that may take the role, as namespace/name"
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for account in var.service_accounts : can(regex("^[a-z0-9.-]+/[a-z0-9.-]+$", account))])
    error_message = "Each of service_accounts must be namespace/name without wildcards, such as airflow/worker."
  }
}

variable "astro_workload_identities" {
  description = "The workload identities (ARNs) of deployments on Astro that may take the role"
  type        = list(string)
  default     = []
}

variable "access_key" {
  description = "Whether to make a user with an access key, for work on your own machine"
  type        = bool
  default     = false
}
