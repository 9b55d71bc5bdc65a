# Who may use the container, and nothing else of the account: a managed identity with the role of rights.json, taken by
# pods on AKS and by deployments on Astro, and, only if you ask for it, a SAS with its letters for your own machine.

locals {
  rights = jsondecode(file("${path.module}/rights.json"))
}

resource "azurerm_user_assigned_identity" "xcom" {
  name                = var.name
  resource_group_name = azurerm_resource_group.xcom.name
  location            = azurerm_resource_group.xcom.location
}

resource "azurerm_role_assignment" "xcom" {
  scope                = azurerm_storage_container.xcom.id
  role_definition_name = local.rights.role
  principal_id         = azurerm_user_assigned_identity.xcom.principal_id
}

resource "azurerm_federated_identity_credential" "xcom" {
  for_each            = var.federated
  name                = each.key
  resource_group_name = azurerm_resource_group.xcom.name
  parent_id           = azurerm_user_assigned_identity.xcom.id
  audience            = ["api://AzureADTokenExchange"]
  issuer              = each.value.issuer
  subject             = each.value.subject
}

# The state file holds this SAS and the account's key: keep it where only you can read it.
data "azurerm_storage_account_blob_container_sas" "local" {
  count             = var.sas_expiry == null ? 0 : 1
  connection_string = azurerm_storage_account.xcom.primary_connection_string
  container_name    = azurerm_storage_container.xcom.name
  https_only        = true
  start             = "2026-01-01T00:00:00Z"
  expiry            = var.sas_expiry

  permissions {
    read   = strcontains(local.rights.sas, "r")
    add    = strcontains(local.rights.sas, "a")
    create = strcontains(local.rights.sas, "c")
    write  = strcontains(local.rights.sas, "w")
    delete = strcontains(local.rights.sas, "d")
    list   = strcontains(local.rights.sas, "l")
  }
}
