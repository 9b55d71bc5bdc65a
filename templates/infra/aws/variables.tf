variable "region" {
  description = "The region of the bucket, such as eu-central-1"
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
  type        = object({ bucket = string, prefix = string, region = optional(string) })
  default     = null
}

variable "state_prefix" {
  description = "The folder of the Remote Execution Agents' state store in the same bucket, with the same rights; null for none"
  type        = string
  default     = null
}

variable "name" {
  description = "The name of the policy, of the role, and with -local behind it of the user"
  type        = string
}

{% include 'infra/shared/variables.tf' %}
variable "oidc_provider_arn" {
  description = "The IAM OIDC provider of your EKS cluster (arn:aws:iam::ACCOUNT:oidc-provider/...); null for no IRSA"
  type        = string
  default     = null
  validation {
    condition     = var.oidc_provider_arn == null || length(var.service_accounts) > 0
    error_message = "oidc_provider_arn without service_accounts trusts nobody: name them, such as [\"xcom-agents/xcom-agent\"]."
  }
}

variable "eks_cluster_arn" {
  description = "The EKS cluster whose pods may take the role by EKS Pod Identity (arn:aws:eks:REGION:ACCOUNT:cluster/NAME); null for none"
  type        = string
  default     = null
  validation {
    condition     = var.eks_cluster_arn == null || length(var.service_accounts) > 0
    error_message = "eks_cluster_arn without service_accounts trusts nobody: name them, such as [\"xcom-agents/xcom-agent\"]."
  }
}

variable "service_accounts" {
  description = "The Kubernetes service accounts that may take the role, as namespace/name"
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for account in var.service_accounts : can(regex("^[a-z0-9.-]+/[a-z0-9.-]+$", account))])
    error_message = "Each of service_accounts must be namespace/name without wildcards, such as xcom-agents/xcom-agent."
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

variable "kms_key_arn" {
  description = "A KMS key that encrypts the bucket; null for SSE-S3. The key's own policy must let IAM grant its use"
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags of everything that is made here"
  type        = map(string)
  default     = {}
}

variable "force_destroy" {
  description = "Whether `tofu destroy` deletes the bucket with all XComs in it: every row that names one is an error then"
  type        = bool
  default     = false
}
