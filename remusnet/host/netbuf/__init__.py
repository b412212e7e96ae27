"""The script that ``xl remus -N`` starts for each vif, as Xen's tools/hotplug/Linux has it.

A guest's output waits for it, so what it imports counts: modules that call themselves light, here
and below, import nothing but each other and a few modules that Python has built in, for which a
fresh interpreter needs 8 ms; ``import remusnet.kernel.change.apply`` alone takes 80. Where there is
anything to decide or to explain they leave it to `remusnet.host.netbuf.full` and `full_teardown`.
"""
