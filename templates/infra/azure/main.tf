# The storage account and its container for big XComs: private, encrypted (Azure always encrypts), over TLS only, with
# versions, and it forgets what is old.

terraform {
  required_version = ">= 1.6"
  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = ">= 4.9, < 5.0"
    }
  }
}

provider "azurerm" {
  features {}
  subscription_id     = var.subscription_id
  storage_use_azuread = true
}

resource "azurerm_resource_group" "xcom" {
  name     = var.name
  location = var.location
}

resource "azurerm_storage_account" "xcom" {
  # checkov:skip=CKV_AZURE_59:workers and your own machine come over the internet, with a token; add network rules if yours do not
  # checkov:skip=CKV2_AZURE_33:a private endpoint belongs to your network, which is not this folder's to shape
  # checkov:skip=CKV2_AZURE_1:Microsoft's key encrypts too; a key of your own costs money and a key vault
  # checkov:skip=CKV_AZURE_206:XComs live for days and can be made again; three zones are enough, a copy elsewhere is what a mirror is for
  # checkov:skip=CKV_AZURE_33:there are no queues in this account
  # checkov:skip=CKV2_AZURE_40:the key is off unless you ask for a SAS (shared_access_key_enabled, below)
  # checkov:skip=CKV2_AZURE_41:a SAS made here has the expiry that you choose
  name                            = var.storage_account
  resource_group_name             = azurerm_resource_group.xcom.name
  location                        = azurerm_resource_group.xcom.location
  account_tier                    = "Standard"
  account_replication_type        = "ZRS"
  https_traffic_only_enabled      = true
  min_tls_version                 = "TLS1_2"
  allow_nested_items_to_be_public = false
  shared_access_key_enabled       = var.sas_expiry != null # a SAS is signed with the account's key
  local_user_enabled              = false

  blob_properties {
    versioning_enabled = true
    delete_retention_policy {
      days = var.old_version_days
    }
  }
}

resource "azurerm_storage_container" "xcom" {
  # checkov:skip=CKV2_AZURE_21:a log of reads needs a workspace; add a diagnostic setting if your rules ask for one
  name                  = var.container
  storage_account_id    = azurerm_storage_account.xcom.id
  container_access_type = "private"
}

# An object that expires while a row still names it is an error for whoever pulls it: choose more days than your longest
# run takes, and than you keep rows (`airflow db clean`). Azure itself drops uncommitted blocks after a week.
resource "azurerm_storage_management_policy" "xcom" {
  storage_account_id = azurerm_storage_account.xcom.id

  rule {
    name    = "forget-xcoms"
    enabled = true
    filters {
      prefix_match = ["${var.container}/${var.prefix}/"]
      blob_types   = ["blockBlob"]
    }
    actions {
      base_blob {
        delete_after_days_since_modification_greater_than = var.xcom_days
      }
      version {
        delete_after_days_since_creation = var.old_version_days
      }
    }
  }
}
