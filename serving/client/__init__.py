"""Clients of TensorFlow Serving's protocol; the package `serving` names what is public.

`conversation` says what is sent and when, as generators that know no sockets; the messages are put together and read in
`rest_messages` and `grpc_messages`, and carried by `transports`. `client` and `async_client` run the same generators,
each in its own way.
"""
