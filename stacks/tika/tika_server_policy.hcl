# What an instance may read: the certificate its proxy serves.
path "secret-operations/global/odl-wildcard" {
  capabilities = ["read"]
}

path "auth/token/renew-self" {
  capabilities = ["update"]
}
