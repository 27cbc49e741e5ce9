// Fills the selections of a zip, each by the number that is its name, as ImageJ does; and tells
// what it reads of an image: java -cp ij.jar Fill.java RoiSet.zip WIDTH HEIGHT OUT.tif IMAGE.tif
import ij.ImagePlus;
import ij.gui.Roi;
import ij.io.*;
import ij.measure.Calibration;
import ij.process.FloatProcessor;
import java.io.*;
import java.util.zip.*;

public class Fill {
    public static void main(String[] arguments) throws Exception {
        int width = Integer.parseInt(arguments[1]), height = Integer.parseInt(arguments[2]);
        FloatProcessor filled = new FloatProcessor(width, height);
        try (ZipFile zip = new ZipFile(arguments[0])) {
            for (ZipEntry entry : java.util.Collections.list(zip.entries())) {
                byte[] bytes = zip.getInputStream(entry).readAllBytes();
                Roi roi = new RoiDecoder(bytes, entry.getName()).getRoi();
                filled.setValue(Double.parseDouble(roi.getName()));
                filled.fill(roi);
            }
        }
        new FileSaver(new ImagePlus("filled", filled)).saveAsTiff(arguments[3]);
        ImagePlus image = new Opener().openImage(arguments[4]);
        Calibration size = image.getCalibration();
        System.out.println(image.getBitDepth() + " " + image.getProcessor().getMax());
        System.out.println(size.pixelWidth + " " + size.pixelHeight + " " + size.getUnit());
    }
}
