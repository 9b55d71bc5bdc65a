# The storage account and its container for big XComs: private, encrypted (Azure always encrypts), over TLS only, with
# versions, and it forgets what is old. With a mirror, both accounts.

terraform {
  required_version = ">= 1.9"
  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = ">= 4.73, < 6.0"
    }
  }

  # The state may hold the account's key, and two people must not apply at once: this backend locks by itself.
  # backend "azurerm" {
  #   storage_account_name = "mycompanytofustate"
  #   container_name       = "state"
  #   key                  = "{{ cookiecutter.project_slug }}/xcom.tfstate"
  #   use_azuread_auth     = true
  # }

{% include 'infra/shared/encryption.tf' -%}
}

provider "azurerm" {
  subscription_id     = var.subscription_id
  storage_use_azuread = true
  features {
    storage {
      # Otherwise the provider reads queue and website settings of the account, which an Owner without data roles may not.
      data_plane_available = false
    }
  }
}

locals {
  stores = merge(
    { primary = { account = var.storage_account, container = var.container, prefix = var.prefix, location = var.location } },
    var.mirror == null ? {} : {
      mirror = {
        account   = var.mirror.storage_account
        container = var.mirror.container
        prefix    = var.mirror.prefix
        location  = coalesce(var.mirror.location, var.location)
      }
    }
  )
  made = var.existing_resource_group == null ? local.stores : {}
}

resource "azurerm_resource_group" "xcom" {
  name     = var.name
  location = var.location
  tags     = var.tags
}

resource "azurerm_storage_account" "xcom" {
  # checkov:skip=CKV_AZURE_59:workers and your own machine come over the internet, with a token, unless allowed_ips or allowed_subnet_ids say who may
  # checkov:skip=CKV_AZURE_35:workers and your own machine come over the internet, with a token, unless allowed_ips or allowed_subnet_ids say who may
  # checkov:skip=CKV2_AZURE_33:a private endpoint belongs to your network, which is not this folder's to shape
  # checkov:skip=CKV2_AZURE_1:Microsoft's key encrypts too; key_vault_key_id is for those whose rules ask for a key of their own
  # checkov:skip=CKV_AZURE_206:XComs live for days and can be made again; three zones are enough, a copy elsewhere is what a mirror is for
  # checkov:skip=CKV_AZURE_33:there are no queues in this account
  # checkov:skip=CKV2_AZURE_40:the key is off unless you ask for a SAS (shared_access_key_enabled, below)
  # checkov:skip=CKV2_AZURE_41:a SAS made here has the expiry that you choose
  for_each                        = local.made
  name                            = each.value.account
  resource_group_name             = azurerm_resource_group.xcom.name
  location                        = each.value.location
  account_tier                    = "Standard"
  account_replication_type        = var.replication
  https_traffic_only_enabled      = true
  min_tls_version                 = "TLS1_2"
  allow_nested_items_to_be_public = false
  shared_access_key_enabled       = var.sas_expiry != null # a SAS is signed with the account's key
  local_user_enabled              = false
  tags                            = var.tags

  blob_properties {
    versioning_enabled = true
    delete_retention_policy {
      days = var.old_version_days
    }
    container_delete_retention_policy {
      days = var.old_version_days
    }
  }

  dynamic "network_rules" {
    for_each = length(var.allowed_ips) + length(var.allowed_subnet_ids) > 0 ? ["some"] : []
    content {
      default_action             = "Deny"
      bypass                     = ["AzureServices"]
      ip_rules                   = var.allowed_ips
      virtual_network_subnet_ids = var.allowed_subnet_ids
    }
  }

  dynamic "identity" {
    for_each = var.key_identity_id == null ? [] : [var.key_identity_id]
    content {
      type         = "UserAssigned"
      identity_ids = [identity.value]
    }
  }

  dynamic "customer_managed_key" {
    for_each = var.key_vault_key_id == null ? [] : [var.key_vault_key_id]
    content {
      key_vault_key_id          = customer_managed_key.value
      user_assigned_identity_id = var.key_identity_id
    }
  }
}

resource "azurerm_storage_container" "xcom" {
  # checkov:skip=CKV2_AZURE_21:a log of reads needs a workspace; add a diagnostic setting if your rules ask for one
  for_each              = local.made
  name                  = each.value.container
  storage_account_id    = azurerm_storage_account.xcom[each.key].id
  container_access_type = "private"
}

# An object that expires while a row still names it is an error for whoever pulls it: choose more days than your longest
# run takes, and than you keep rows (`airflow db clean`). It holds for the first folder of the prefix: xcom/ for xcom/prod.
# Azure itself drops uncommitted blocks after a week.
resource "azurerm_storage_management_policy" "xcom" {
  for_each           = local.made
  storage_account_id = azurerm_storage_account.xcom[each.key].id

  rule {
    name    = "forget-xcoms"
    enabled = true
    filters {
      prefix_match = ["${each.value.container}/${split("/", each.value.prefix)[0]}/"]
      blob_types   = ["blockBlob"]
    }
    actions {
      base_blob {
        delete_after_days_since_modification_greater_than = var.xcom_days
      }
    }
  }

  # The whole container: a state store replaces its blobs often, and each leaves a version.
  rule {
    name    = "forget-versions"
    enabled = true
    filters {
      prefix_match = ["${each.value.container}/"]
      blob_types   = ["blockBlob"]
    }
    actions {
      version {
        delete_after_days_since_creation = var.old_version_days
      }
    }
  }
}
