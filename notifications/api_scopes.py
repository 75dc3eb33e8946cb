"""What programs can be allowed to do with notifications."""

from django.utils.translation import gettext_lazy as _

from routing.console.scopes import Scope

SEND = Scope(name="notifications:send", words=_("Write to people: send notifications"), usual=True)
READ = Scope(name="notifications:read", words=_("See what became of notifications, and who got which"), usual=True)
CANCEL = Scope(name="notifications:cancel", words=_("Cancel notifications that are not sent yet"))
SUPPRESSIONS_READ = Scope(name="suppressions:read", words=_("See which addresses are not written to"))
SUPPRESSIONS_WRITE = Scope(
    name="suppressions:write", words=_("Have an address not written to any more, or written to again")
)
