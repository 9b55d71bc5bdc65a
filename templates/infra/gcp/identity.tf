# Who may use the bucket, with exactly the permissions of role.json: a service account, as which pods on GKE act, and the
# deployments on Astro; and, only if you ask for it, a key of the service account for work on your own machine.

locals {
  role = jsondecode(file("${path.module}/role.json"))

  members = merge(
    { (var.name) = google_service_account.xcom.member },
    { for email in var.astro_workload_identities : email => "serviceAccount:${email}" }
  )
  grants = merge([
    for key, store in local.stores : { for name, member in local.members : "${key} ${name}" => merge(store, { key = key, member = member }) }
  ]...)
}

resource "google_service_account" "xcom" {
  account_id   = var.name
  display_name = "XComs in ${var.bucket}/${var.prefix}"
}

resource "google_project_iam_custom_role" "xcom" {
  role_id     = replace(var.name, "-", "_")
  title       = local.role.title
  description = local.role.description
  stage       = local.role.stage
  permissions = local.role.includedPermissions
}

# Listing asks for the right on the bucket, all else on the object, which must be below the prefix.
resource "google_storage_bucket_iam_member" "xcom" {
  for_each = local.grants
  bucket   = var.create_bucket ? google_storage_bucket.xcom[each.value.key].name : each.value.bucket
  role     = google_project_iam_custom_role.xcom.id
  member   = each.value.member
  condition {
    title = "below-prefix"
    expression = join(" || ", concat(["resource.type == 'storage.googleapis.com/Bucket'"], [
      for prefix in compact([each.value.prefix, each.value.key == "primary" ? var.state_prefix : null]) :
      "resource.name.startsWith('projects/_/buckets/${each.value.bucket}/objects/${prefix}/')"
    ]))
  }
}

resource "google_service_account_iam_member" "pods" {
  for_each           = toset(var.service_accounts)
  service_account_id = google_service_account.xcom.name
  role               = "roles/iam.workloadIdentityUser"
  member             = "serviceAccount:${coalesce(var.gke_project, var.project)}.svc.id.goog[${each.value}]"
}

resource "google_service_account_iam_member" "impersonators" {
  for_each           = toset(var.impersonators)
  service_account_id = google_service_account.xcom.name
  role               = "roles/iam.workloadIdentityUser"
  member             = each.value
}

# The state file holds this key: keep it where only you can read it, or make the key with `gcloud iam service-accounts
# keys create`.
resource "google_service_account_key" "local" {
  count              = var.service_account_key ? 1 : 0
  service_account_id = google_service_account.xcom.name
}
