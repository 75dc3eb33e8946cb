"""RabbitMQ nodes with TLS, as docs/operations.md has them."""

from dataclasses import dataclass
from pathlib import Path

from project.services.rabbitmq import Node
from tests.certificates import Signed

ADDRESS = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class TlsNode(Node):
    """It listens for TLS beside its other port."""

    tls_port: int
    ca: Path
    signed: Signed

    def address(self, host: str = ADDRESS) -> str:
        return f"amqps://guest:guest@{host}:{self.tls_port}//"

    def _config(self) -> str:
        return (
            f"{super()._config()}listeners.ssl.1 = {ADDRESS}:{self.tls_port}\n"
            f"ssl_options.cacertfile = {self.ca}\n"
            f"ssl_options.certfile = {self.signed.certificate}\n"
            f"ssl_options.keyfile = {self.signed.key}\n"
        )


class AskingNode(TlsNode):
    """Lets nobody in who shows no certificate; who shows one may log in by it."""

    def _config(self) -> str:
        return (
            f"{super()._config()}"
            "ssl_options.verify = verify_peer\n"
            "ssl_options.fail_if_no_peer_cert = true\n"
            "auth_mechanisms.1 = PLAIN\n"
            "auth_mechanisms.2 = AMQPLAIN\n"
            "auth_mechanisms.3 = EXTERNAL\n"
            "ssl_cert_login_from = common_name\n"
        )

    def write(self) -> None:
        super().write()
        (self.folder / "enabled_plugins").write_text("[rabbitmq_auth_mechanism_ssl].\n")
