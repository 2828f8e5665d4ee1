from setuptools import setup

NAME = "coedge_consumer"
setup(
    name=NAME,
    version="0.1.0",
    packages=[NAME],
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/launch", ["launch/stop.launch.py"]),
    ],
    install_requires=["setuptools"],
    zip_safe=True,
    maintainer="The coedge_ros developers",
    maintainer_email="coedge-ros@users.noreply.github.com",
    description="Example of a package that uses coedge_ros",
    license="Apache-2.0",
    entry_points={"console_scripts": [f"stop_node = {NAME}.stop_node:main"]},
)
