# What `import remusnet` gives, for type checkers and editors. __init__.py gives it when asked.
from remusnet.api.protection import apply as apply
from remusnet.api.protection import plan as plan
from remusnet.api.protection import remove as remove
from remusnet.api.protection import status as status
from remusnet.api.protection import verify as verify
from remusnet.api.recordings import classify as classify
from remusnet.api.simulation import simulate as simulate
from remusnet.errors import CheckFailed as CheckFailed
from remusnet.errors import Conflict as Conflict
from remusnet.errors import InvalidInput as InvalidInput
from remusnet.errors import KernelRefused as KernelRefused
from remusnet.errors import MissingDependency as MissingDependency
from remusnet.errors import NotPermitted as NotPermitted
from remusnet.errors import RemusnetError as RemusnetError
from remusnet.kernel.plug import Plug as Plug
from remusnet.policy import Policy as Policy

__version__: str
