# The bucket for big XComs: private, encrypted (Cloud Storage always encrypts), with versions, and it forgets what is old.
# TLS: a request with credentials is refused without it, so there is nothing to switch on. With a mirror, both buckets.

terraform {
  required_version = ">= 1.9"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.50, < 8.0"
    }
  }

  # The state may hold a key, and two people must not apply at once: this backend locks by itself.
  # backend "gcs" {
  #   bucket = "my-company-tofu-state"
  #   prefix = "{{ cookiecutter.project_slug }}/xcom"
  # }

{% include 'infra/shared/encryption.tf' -%}
}

provider "google" {
  project        = var.project
  default_labels = var.labels
}

locals {
  stores = merge(
    { primary = { bucket = var.bucket, prefix = var.prefix, location = var.location } },
    var.mirror == null ? {} : {
      mirror = { bucket = var.mirror.bucket, prefix = var.mirror.prefix, location = coalesce(var.mirror.location, var.location) }
    }
  )
  made = var.create_bucket ? local.stores : {}
}

# An object that expires while a row still names it is an error for whoever pulls it: choose more days than your longest
# run takes, and than you keep rows (`airflow db clean`). It holds for the first folder of the prefix: xcom/ for xcom/prod.
resource "google_storage_bucket" "xcom" {
  # checkov:skip=CKV_GCP_62:an access log needs a second bucket; Cloud Audit Logs can tell who read what
  for_each                    = local.made
  name                        = each.value.bucket
  location                    = each.value.location
  public_access_prevention    = "enforced"
  uniform_bucket_level_access = true
  force_destroy               = var.force_destroy
  depends_on                  = [google_kms_crypto_key_iam_member.storage]

  versioning {
    enabled = true
  }

  # Versions are what restores an XCom. Soft delete, on by default, would keep (and bill) each old version 7 days more.
  soft_delete_policy {
    retention_duration_seconds = 0
  }

  dynamic "encryption" {
    for_each = var.kms_key == null ? [] : [var.kms_key]
    content {
      default_kms_key_name = encryption.value
    }
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      age            = var.xcom_days
      matches_prefix = ["${split("/", each.value.prefix)[0]}/"]
      with_state     = "LIVE"
    }
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      days_since_noncurrent_time = var.old_version_days
      with_state                 = "ARCHIVED"
    }
  }

  lifecycle_rule {
    action {
      type = "AbortIncompleteMultipartUpload"
    }
    condition {
      age = 7
    }
  }
}

# Cloud Storage itself uses the key, not who reads and writes XComs.
data "google_storage_project_service_account" "storage" {
  count = var.kms_key == null ? 0 : 1
}

resource "google_kms_crypto_key_iam_member" "storage" {
  count         = var.kms_key == null ? 0 : 1
  crypto_key_id = var.kms_key
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = data.google_storage_project_service_account.storage[0].member
}
