"""Settings of the Bugsink that the checks run against; run.sh fills in the folder and the port."""
from bugsink.settings.default import *  # noqa: F401,F403
from bugsink.settings.default import DATABASES

SECRET_KEY = "for a server that lives a minute on loopback, this is secret enough"
DATABASES["default"]["NAME"] = "@DATA@/db.sqlite3"
DATABASES["snappea"]["NAME"] = "@DATA@/snappea.sqlite3"
# Digest inside the request: what was answered with 200 is stored.
SNAPPEA = {"TASK_ALWAYS_EAGER": True}
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
ALLOWED_HOSTS = ["127.0.0.1"]
BUGSINK = {
    "BASE_URL": "http://127.0.0.1:@PORT@",
    "SINGLE_USER": True,
    "SINGLE_TEAM": True,
    "PHONEHOME": False,
    "INGEST_STORE_BASE_DIR": "@DATA@/ingestion",
}
