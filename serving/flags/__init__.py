"""The command line of the embedded server: tensorflow_model_server's flags, and keraspipe's own."""
