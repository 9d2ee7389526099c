-- Hear of changes of accounts, credentials, networks, domains, routes.
LISTEN baton_directory;
