"""Whether a TCP port on this machine can be had."""

import errno
import socket

from project.services.errors import ServiceError


def require(port: int, *, variable: str, address: str = "127.0.0.1") -> None:
    """Raises ServiceError, naming the environment variable that chooses another port."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise ServiceError(_sentence(error, port=port, variable=variable, address=address)) from None


def _sentence(error: OSError, *, port: int, variable: str, address: str) -> str:
    cure = f"Choose another: {variable}={port + 1 if port > 1023 else 8000 + port} make up"
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is taken by another program. {cure}"
    if error.errno == errno.EACCES:
        return f"Only root may use port {port}. {cure}"
    return f"{address} is no address of this machine. Use BIND=127.0.0.1, or BIND=0.0.0.0 to be reached from others."
