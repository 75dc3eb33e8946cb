"""How people read dates here, by language, for Django's ``FORMAT_MODULE_PATH``."""
