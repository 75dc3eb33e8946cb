"""What became of each task, in the database alone: nothing here speaks AMQP or runs tasks."""
