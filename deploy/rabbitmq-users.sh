#!/bin/sh
# A RabbitMQ user for each role, each with no more rights than it needs. Safe to run again. On a node, as a user who may
# call rabbitmqctl:
#
#   OPERATOR_PASSWORD=… RELAY_PASSWORD=… WORKER_PASSWORD=… WEB_PASSWORD=… sh deploy/rabbitmq-users.sh
#
# PREFIX is the namespace and a colon, such as staging: where TASKYARD_NAMESPACE is set, and part of the names then.
# DOMAINS are those in project/domains.py. With these rights workers need TASKYARD_REMOTE_CONTROL=0.
set -eu
ctl=${RABBITMQCTL:-rabbitmqctl}
vhost=${VHOST:-/}
prefix=${PREFIX:-}
domains=${DOMAINS:-notifications|reporting|maintenance}

queues="^${prefix}(${domains})(\.|\$)"
ours="^${prefix}taskyard(\.|\$)"

user() {
    "$ctl" add_user "$1" "$2" >/dev/null 2>&1 || "$ctl" change_password "$1" "$2" >/dev/null
    # What it may configure, write to and read from.
    "$ctl" set_permissions -p "$vhost" "$1" "$3" "$4" "$5" >/dev/null
    echo "$1: configure $3   write $4   read $5"
}

# Runs manage.py topology apply, and nothing else does.
user operator "${OPERATOR_PASSWORD:?}" '.*' '.*' '.*'
# Publishes through the default exchange, and takes what lies in the dead-letter queues.
user relay "${RELAY_PASSWORD:?}" '^$' '^amq\.default$' "$queues|$ours"
# Takes tasks. What they enqueue goes into the database.
user worker "${WORKER_PASSWORD:?}" '^$' '^$' "$queues"
# Web, beat and manage.py status only ask how full the queues are.
user web "${WEB_PASSWORD:?}" '^$' '^$' '^$'
