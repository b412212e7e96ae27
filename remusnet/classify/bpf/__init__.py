"""A policy as one program of classic BPF."""
