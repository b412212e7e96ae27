"""What tests on a real kernel use.

Two labs, one interface (``remusnet.lab.runs.Lab``): ``remusnet.lab.uml`` boots a User-Mode Linux
kernel that has all that remusnet uses; ``netns`` enters fresh namespaces of the running kernel.
``plugin`` runs pytest items inside them, ``bed`` is the network that those tests send frames
through. Nothing here is imported by the package remusnet.
"""
