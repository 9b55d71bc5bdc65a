  # OpenTofu (not Terraform) encrypts the state itself; the passphrase comes from TF_VAR_state_passphrase.
  # encryption {
  #   key_provider "pbkdf2" "state" {
  #     passphrase = var.state_passphrase # and a variable of this name, with sensitive = true
  #   }
  #   method "aes_gcm" "state" {
  #     keys = key_provider.pbkdf2.state
  #   }
  #   state {
  #     method   = method.aes_gcm.state
  #     enforced = true
  #   }
  # }
