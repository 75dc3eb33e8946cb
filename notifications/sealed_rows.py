"""What notifications keep of secret values: with each delivery, until it is over."""

from notifications.sealing import PURPOSE
from notifications.tables import Delivery
from routing.resealing import PLACES, Place

PLACES += [Place(kind="deliveries", model=Delivery, columns=("sealed",), purpose=PURPOSE, is_whole=True)]
