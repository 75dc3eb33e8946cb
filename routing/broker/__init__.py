"""Everything that speaks AMQP. No other package imports kombu or amqp."""
