"""The cloud on loopback: the AWS API, instances as containers, balancers, stand-ins.

`lifecycle` is its face (up, down, status, reset). Everything that lives on runs in one
background process, `daemon`; what that process is made of is wired together in `cloud`.
"""
