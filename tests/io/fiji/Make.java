// Draws one selection of each kind, saves them as the ROI Manager does, and what ImageJ fills:
// java -Djava.awt.headless=true -cp ij.jar Make.java FOLDER
import ij.ImagePlus;
import ij.gui.*;
import ij.io.*;
import ij.process.ByteProcessor;
import java.io.*;
import java.util.zip.*;

public class Make {
    static String folder;
    static ZipOutputStream zip;

    static void save(String name, Roi roi) throws Exception {
        roi.setName(name);
        zip.putNextEntry(new ZipEntry(name + ".roi"));
        new RoiEncoder(zip).write(roi);
        zip.closeEntry();
        ByteProcessor filled = new ByteProcessor(64, 48);
        filled.setValue(255);
        filled.fill(roi);
        new FileSaver(new ImagePlus(name, filled)).saveAsTiff(folder + "/" + name + ".tif");
    }

    static Roi rounded(double x, double y, double width, double height, int corner) {
        Roi roi = new Roi(x, y, width, height);
        roi.setCornerDiameter(corner);
        return roi;
    }

    public static void main(String[] arguments) throws Exception {
        folder = arguments[0];
        zip = new ZipOutputStream(new FileOutputStream(folder + "/RoiSet.zip"));
        save("oval", new OvalRoi(3, 4, 15, 10));
        save("oval-sub", new OvalRoi(3.4, 4.2, 15.5, 10.7));
        save("ellipse", new EllipseRoi(25, 5, 45, 20, 0.4));
        float[] x = {5.2f, 20.7f, 14.1f}, y = {25.3f, 27.8f, 40.9f};
        save("polygon-sub", new PolygonRoi(x, y, Roi.POLYGON));
        int[] wholeX = {30, 40, 35}, wholeY = {25, 28, 40};
        save("freehand", new PolygonRoi(wholeX, wholeY, 3, Roi.FREEROI));
        save("rounded", rounded(40, 25, 15, 12, 6));
        ShapeRoi square = new ShapeRoi(new Roi(2, 20, 20, 20));
        save("hole", square.not(new ShapeRoi(new OvalRoi(6, 24, 8, 8))));
        ShapeRoi part = new ShapeRoi(new Roi(50, 2, 5, 6));
        save("two-parts", part.or(new ShapeRoi(new Roi(57, 10, 4, 7))));
        save("rotated", new RotatedRectRoi(10, 42, 30, 30, 6));
        float[] knotsX = {35, 50, 52, 38}, knotsY = {30, 28, 44, 45};
        PolygonRoi spline = new PolygonRoi(knotsX, knotsY, Roi.POLYGON);
        spline.fitSpline();
        save("spline", spline);
        ByteProcessor drawn = new ByteProcessor(64, 48);
        drawn.setValue(255);
        drawn.fill(new OvalRoi(15, 12, 14, 18));
        Wand wand = new Wand(drawn);
        wand.autoOutline(20, 20, 200, 255);
        save("traced", new PolygonRoi(wand.xpoints, wand.ypoints, wand.npoints, Roi.TRACED_ROI));
        Roi placed = new OvalRoi(30, 10, 9, 9), slice = new OvalRoi(30, 10, 9, 9);
        placed.setPosition(0, 3, 2);
        save("placed", placed);
        slice.setPosition(4);
        save("slice", slice);
        save("rect-sub", new Roi(3.4, 4.2, 15.5, 10.7));
        save("rounded-sub", rounded(20.6, 14.7, 15.5, 20.7, 7));
        save("oval-sub2", new OvalRoi(20.6, 14.7, 15.2, 20.9));
        zip.close();
    }
}
