from services.signer.main import run

run()
