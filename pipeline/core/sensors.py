"""Constants of both sensors: classes, frame size, file names, and the range that means "no return"."""

CLASSES = ("cubes", "spheres")  # folder names; the index is the label
CLASS_NAMES = ("cube", "sphere")  # of one object
SENSORS = {"rgb": ".png", "lidar": ".npy"}  # folder name -> file suffix
ANGLES = ("azimuth", "zenith")  # of each row, of each column of a LiDAR frame; radians
IMAGE_SIZE = 64  # pixels, rows and columns of both sensors
NO_RETURN = 50.0  # Omniverse units; the LiDAR's longest range, written where nothing came back
RGB_CHANNELS = 4  # red, green, blue, alpha
XYZA_CHANNELS = 4  # x, y, z, mask of returns
