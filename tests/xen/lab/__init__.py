"""A real Xen, its Dom0 and a guest in QEMU without KVM: built of Debian packages, and cached.

``build`` makes it, ``machine`` runs it, ``job`` runs something in its Dom0. Nothing here needs the
virtual environment: `scripts/xen-lab` works from a bare checkout.
"""
