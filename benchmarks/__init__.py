"""What the pipeline can do, measured on a RabbitMQ node and a database of its own."""
