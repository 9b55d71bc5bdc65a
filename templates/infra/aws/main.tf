# The bucket for big XComs: private, encrypted, over TLS only, with versions, and it forgets what is old. With a mirror,
# both buckets.

terraform {
  required_version = ">= 1.9"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0, < 7.0"
    }
  }

  # The state may hold a key, and two people must not apply at once: keep it in a bucket of its own, with a lock.
  # backend "s3" {
  #   bucket       = "my-company-tofu-state"
  #   key          = "{{ cookiecutter.project_slug }}/xcom.tfstate"
  #   region       = "eu-central-1"
  #   encrypt      = true
  #   use_lockfile = true
  # }

{% include 'infra/shared/encryption.tf' -%}
}

provider "aws" {
  region = var.region
  default_tags {
    tags = var.tags
  }
}

data "aws_partition" "current" {}

locals {
  stores = merge(
    { primary = { bucket = var.bucket, prefix = var.prefix, region = var.region } },
    var.mirror == null ? {} : {
      mirror = { bucket = var.mirror.bucket, prefix = var.mirror.prefix, region = coalesce(var.mirror.region, var.region) }
    }
  )
  made = var.create_bucket ? local.stores : {}
}

resource "aws_s3_bucket" "xcom" {
  # checkov:skip=CKV_AWS_145:SSE-S3 encrypts too; kms_key_arn is for those whose rules ask for a key of their own
  # checkov:skip=CKV_AWS_18:an access log needs a second bucket; add it if your rules ask for one
  # checkov:skip=CKV_AWS_144:XComs live for days and can be made again; a copy elsewhere is what a mirror is for
  # checkov:skip=CKV2_AWS_62:nothing waits for events of this bucket
  for_each      = local.made
  bucket        = each.value.bucket
  region        = each.value.region
  force_destroy = var.force_destroy
}

resource "aws_s3_bucket_public_access_block" "xcom" {
  for_each                = local.made
  bucket                  = aws_s3_bucket.xcom[each.key].id
  region                  = each.value.region
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

# A bucket key makes KMS cheap: one request to KMS for many objects.
resource "aws_s3_bucket_server_side_encryption_configuration" "xcom" {
  for_each = local.made
  bucket   = aws_s3_bucket.xcom[each.key].id
  region   = each.value.region
  rule {
    bucket_key_enabled = var.kms_key_arn != null
    apply_server_side_encryption_by_default {
      sse_algorithm     = var.kms_key_arn == null ? "AES256" : "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

resource "aws_s3_bucket_versioning" "xcom" {
  for_each = local.made
  bucket   = aws_s3_bucket.xcom[each.key].id
  region   = each.value.region
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_policy" "tls_only" {
  for_each = local.made
  bucket   = aws_s3_bucket.xcom[each.key].id
  region   = each.value.region
  policy   = replace(file("${path.module}/tls-only.json"), local.answered, "${local.s3}${each.value.bucket}")
}

# An object that expires while a row still names it is an error for whoever pulls it: choose more days than your longest
# run takes, and than you keep rows (`airflow db clean`). It holds for the first folder of the prefix: xcom/ for xcom/prod.
resource "aws_s3_bucket_lifecycle_configuration" "xcom" {
  for_each   = local.made
  bucket     = aws_s3_bucket.xcom[each.key].id
  region     = each.value.region
  depends_on = [aws_s3_bucket_versioning.xcom]

  rule {
    id     = "forget-xcoms"
    status = "Enabled"
    filter {
      prefix = "${split("/", each.value.prefix)[0]}/"
    }
    expiration {
      days = var.xcom_days
    }
  }

  # The whole bucket: a state store replaces its objects often, and each leaves a version.
  rule {
    id     = "forget-leftovers"
    status = "Enabled"
    filter {}
    expiration {
      expired_object_delete_marker = true
    }
    noncurrent_version_expiration {
      noncurrent_days = var.old_version_days
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }
}
