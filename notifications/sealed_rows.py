"""What notifications keep of secret values: with each delivery, until it is over, and the URLs of chat targets."""

from notifications.chat import seals
from notifications.chat.tables import ChatTarget
from notifications.sealing import PURPOSE
from notifications.tables import Delivery
from routing.resealing import PLACES, Place

PLACES += [
    Place(kind="deliveries", model=Delivery, columns=("sealed",), purpose=PURPOSE, is_whole=True),
    Place(kind="targets", model=ChatTarget, columns=("url",), purpose=seals.PURPOSE, is_whole=True),
]
