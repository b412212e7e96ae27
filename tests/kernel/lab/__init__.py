"""The kernel lab: a place where tests are root on a real kernel and can harm nothing.

Two labs, one interface (``lab.runs.Lab``): ``lab.uml`` boots a User-Mode Linux kernel that has all
that remusnet uses; ``lab.netns`` enters fresh namespaces of the running kernel. ``lab.plugin`` runs
pytest items inside them, ``lab.bed`` is the network that those tests send frames through. Nothing
here is imported by the package remusnet.
"""
