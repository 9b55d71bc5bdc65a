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
}

variable "existing_resource_group" {
  description = "The resource group of an account with a container that exist and that another state owns; null to make both"
  type        = string
  default     = null
}

variable "prefix" {
  description = "The folder for XComs in the container, as in AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH, such as xcom or xcom/prod"
  type        = string
  validation {
    condition     = can(regex("^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$", var.prefix))
    error_message = "prefix must be folders without a slash at either end, such as xcom or xcom/prod."
  }
}

variable "mirror" {
  description = "The account and container of the custom class's second store (AIRFLOW__XCOM_BACKEND__MIRROR); null for none"
  type        = object({ storage_account = string, container = string, prefix = string, location = optional(string) })
  default     = null
}

variable "state_prefix" {
  description = "The folder of the Remote Execution Agents' state store in the same container, with the same rights; null for none"
  type        = string
  default     = null
}

variable "name" {
  description = "The name of the resource group and of the managed identity"
  type        = string
}

{% include 'infra/shared/variables.tf' %}
variable "replication" {
  description = "How many copies Azure keeps, and where: LRS, ZRS, GRS, RAGRS, GZRS or RAGZRS. Not every region has ZRS"
  type        = string
  default     = "ZRS"
}

variable "federated" {
  description = "Who may act as the managed identity, by a name: service accounts on AKS, deployments on Astro"
  type        = map(object({ issuer = string, subject = string }))
  default     = {}
}

variable "principal_ids" {
  description = "Object IDs of managed identities that you have already and that get the same rights, by a name"
  type        = map(string)
  default     = {}
}

variable "sas_expiry" {
  description = "When the SAS for work on your own machine ends, such as 2027-01-31T00:00:00Z; null for no SAS and no account key"
  type        = string
  default     = null
}

variable "sas_ip" {
  description = "The address, or two with a hyphen between, from which the SAS works: those of your Airflow; null for all"
  type        = string
  default     = null
}

variable "allowed_ips" {
  description = "Public addresses or CIDR ranges that may reach the account; with allowed_subnet_ids empty too, all may"
  type        = list(string)
  default     = []
}

variable "allowed_subnet_ids" {
  description = "IDs of subnets (with the service endpoint Microsoft.Storage) that may reach the account"
  type        = list(string)
  default     = []
}

variable "key_vault_key_id" {
  description = "A Key Vault key that encrypts the account; needs key_identity_id; null for Microsoft's key"
  type        = string
  default     = null
}

variable "key_identity_id" {
  description = "A user-assigned identity that has the role Key Vault Crypto Service Encryption User at that key"
  type        = string
  default     = null
  validation {
    condition     = (var.key_vault_key_id == null) == (var.key_identity_id == null)
    error_message = "key_vault_key_id and key_identity_id belong together: the account reads the key as that identity."
  }
}

variable "tags" {
  description = "Tags of everything that is made here"
  type        = map(string)
  default     = {}
}
