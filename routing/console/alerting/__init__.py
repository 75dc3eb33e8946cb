"""What is wrong is told to people, without the pipeline: by whoever lives, in mails and to a webhook."""
