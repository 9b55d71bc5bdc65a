# Who may use the container: a managed identity with the rights of rights.json below the prefix and nothing else, taken by
# pods on AKS and by deployments on Astro, and, only if you ask for it, a SAS with its letters for your own machine.

locals {
  rights  = jsondecode(file("${path.module}/rights.json"))
  group   = "/subscriptions/${var.subscription_id}/resourceGroups/${coalesce(var.existing_resource_group, var.name)}"
  members = merge({ (var.name) = azurerm_user_assigned_identity.xcom.principal_id }, var.principal_ids)
  blobs   = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
  folders = {
    for key, store in local.stores : key => compact([store.prefix, key == "primary" ? var.state_prefix : null])
  }
  grants = merge([
    for key, store in local.stores : { for name, id in local.members : "${key} ${name}" => merge(store, { key = key, id = id }) }
  ]...)
}

resource "azurerm_user_assigned_identity" "xcom" {
  name                = var.name
  resource_group_name = azurerm_resource_group.xcom.name
  location            = azurerm_resource_group.xcom.location
  tags                = var.tags
}

# Blobs alone: with the built-in role for writers it could delete the container too.
resource "azurerm_role_definition" "xcom" {
  name        = "XComs of ${var.name}"
  description = "Write, read, list and delete blobs, and nothing else"
  scope       = local.group
  depends_on  = [azurerm_resource_group.xcom]
  permissions {
    actions      = local.rights.role.Actions
    data_actions = local.rights.role.DataActions
  }
}

# Listing names shows those of the whole container; to read, write or delete, a blob must be below the prefix.
resource "azurerm_role_assignment" "xcom" {
  for_each           = local.grants
  scope              = var.existing_resource_group == null ? azurerm_storage_container.xcom[each.value.key].id : "${local.group}/providers/Microsoft.Storage/storageAccounts/${each.value.account}/blobServices/default/containers/${each.value.container}"
  role_definition_id = azurerm_role_definition.xcom.role_definition_resource_id
  principal_id       = each.value.id
  principal_type     = "ServicePrincipal"
  condition_version  = "2.0"
  condition          = <<-END
    (
      (
        !(ActionMatches{'${local.blobs}/read'} AND NOT SubOperationMatches{'Blob.List'})
        AND !(ActionMatches{'${local.blobs}/write'})
        AND !(ActionMatches{'${local.blobs}/delete'})
      )
      OR ${join(" OR ", [for one in local.folders[each.value.key] : "(@Resource[${local.blobs}:path] StringLike '${one}/*')"])}
    )
  END
}

resource "azurerm_federated_identity_credential" "xcom" {
  for_each                  = var.federated
  name                      = each.key
  user_assigned_identity_id = azurerm_user_assigned_identity.xcom.id
  audience                  = ["api://AzureADTokenExchange"]
  issuer                    = each.value.issuer
  subject                   = each.value.subject
}

# The state file holds this SAS and the account's key: keep it where only you can read it. The SAS ends at its expiry, or
# at once when sas_expiry is taken out: then the account accepts no key, and nothing that was signed with one.
data "azurerm_storage_account_blob_container_sas" "local" {
  count             = var.sas_expiry == null || var.existing_resource_group != null ? 0 : 1
  connection_string = azurerm_storage_account.xcom["primary"].primary_connection_string
  container_name    = azurerm_storage_container.xcom["primary"].name
  https_only        = true
  ip_address        = var.sas_ip
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
