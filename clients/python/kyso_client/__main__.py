from kyso_client.cli import main

main()
