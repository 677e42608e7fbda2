# To be sourced: the settings of the caller must not change what is tested.
for name in $(compgen -e | grep -E 'SENTRY_|^OTEL_|^(QUICKDAPP|AMPLY|STORMCLOUD)_|^(ENVIRONMENT|GIT_COMMIT)$' || true); do unset "$name"; done
