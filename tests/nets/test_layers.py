import subprocess
import sys


def test_a_network_without_weights_does_not_load_the_compiler():
    code = (
        "import sys, torch; from ulens.nets.unet import UNet;"
        "torch.set_default_device('meta'); UNet(width=1, depth=1);"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
