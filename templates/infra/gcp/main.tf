# The bucket for big XComs: private, encrypted (Cloud Storage always encrypts), with versions, and it forgets what is old.
# TLS: a request with credentials is refused without it, so there is nothing to switch on.

terraform {
  required_version = ">= 1.6"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.0, < 8.0"
    }
  }
}

provider "google" {
  project = var.project
}

# An object that expires while a row still names it is an error for whoever pulls it: choose more days than your longest
# run takes, and than you keep rows (`airflow db clean`).
resource "google_storage_bucket" "xcom" {
  # checkov:skip=CKV_GCP_62:an access log needs a second bucket; Cloud Audit Logs can tell who read what
  name                        = var.bucket
  location                    = var.location
  public_access_prevention    = "enforced"
  uniform_bucket_level_access = true

  versioning {
    enabled = true
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      age            = var.xcom_days
      matches_prefix = ["${var.prefix}/"]
      with_state     = "LIVE"
    }
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      days_since_noncurrent_time = var.old_version_days
      matches_prefix             = ["${var.prefix}/"]
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
