variable "subscription_id" {
  description = "The ID of the Azure subscription"
  type        = string
}

variable "location" {
  description = "Where the storage account is, such as westeurope"
  type        = string
}

variable "storage_account" {
  description = "The name of the storage account to create, unique in all of Azure"
  type        = string
  validation {
    condition     = can(regex("^[a-z0-9]{3,24}$", var.storage_account))
    error_message = "storage_account must be 3 to 24 characters, only a-z and 0-9, such as mycompanyxcoms."
  }
}

variable "container" {
  description = "The container, as in AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"
  type        = string
  default     = {{ cookiecutter.bucket | tojson }}
}

variable "prefix" {
  description = "The folder for XComs in the container, as in AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"
  type        = string
  default     = "xcom"
}

variable "name" {
  description = "The name of the resource group and of the managed identity"
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

variable "federated" {
  description = "Who may act as the managed identity, by a name: service accounts on AKS, deployments on Astro"
  type        = map(object({ issuer = string, subject = string }))
  default     = {}
  # { worker = { issuer = "https://...oic.prod-aks.azure.com/...", subject = "system:serviceaccount:airflow:worker" } }
}

variable "sas_expiry" {
  description = "When the SAS for work on your own machine ends, such as 2027-01-31T00:00:00Z; null for no SAS"
  type        = string
  default     = null
}
