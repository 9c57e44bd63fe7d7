// Embedding a photograph on iOS.
//
// Sample, not built in CI and not run on a phone. Needs the Swift package onnxruntime-swift-package-manager
// (or the pod onnxruntime-objc).

import CoreGraphics
import Foundation
import ImageIO
import OnnxRuntimeBindings

enum PhotoError: Error {
    case unreadable
    case noEmbedding
}

final class PhotoEncoder {
    private let environment: ORTEnv
    private let session: ORTSession
    private let dim: Int

    /// model: model.fp16.onnx of a verified bundle. The CPU provider, on purpose: its resize is Pillow's.
    init(model: URL, dim: Int) throws {
        environment = try ORTEnv(loggingLevel: .warning)
        session = try ORTSession(env: environment, modelPath: model.path, sessionOptions: nil)
        self.dim = dim
    }

    /// The unit row of a photograph. Call it off the main thread.
    func encode(_ photo: URL) throws -> [Float] {
        let (pixels, height, width) = try decode(photo)
        let input = try ORTValue(
            tensorData: NSMutableData(data: pixels),
            elementType: .uInt8,
            shape: [height as NSNumber, width as NSNumber, 3])
        let names = try session.outputNames()
        let found = try session.run(
            withInputs: ["image_u8": input], outputNames: Set(names), runOptions: nil)
        guard let data = try found[names[0]]?.tensorData() as Data?, data.count == 4 * dim else {
            throw PhotoError.noEmbedding
        }
        return data.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
    }
}

/// uint8 RGB [H, W, 3]: sRGB, upright, alpha over white, the shorter side not below 1024 by shrinking.
func decode(_ photo: URL) throws -> (pixels: Data, height: Int, width: Int) {
    guard let source = CGImageSourceCreateWithURL(photo as CFURL, nil),
        let properties = CGImageSourceCopyPropertiesAtIndex(source, 0, nil) as? [CFString: Any],
        let fullWidth = properties[kCGImagePropertyPixelWidth] as? Double,
        let fullHeight = properties[kCGImagePropertyPixelHeight] as? Double
    else { throw PhotoError.unreadable }
    let shrink = min(1, 1024 / min(fullWidth, fullHeight))
    let options: [CFString: Any] = [
        kCGImageSourceCreateThumbnailFromImageAlways: true,
        kCGImageSourceCreateThumbnailWithTransform: true,  // EXIF orientation
        kCGImageSourceThumbnailMaxPixelSize: ceil(shrink * max(fullWidth, fullHeight)),
    ]
    guard let image = CGImageSourceCreateThumbnailAtIndex(source, 0, options as CFDictionary),
        let srgb = CGColorSpace(name: CGColorSpace.sRGB),
        let context = CGContext(
            data: nil, width: image.width, height: image.height, bitsPerComponent: 8,
            bytesPerRow: 4 * image.width, space: srgb,
            bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue)
    else { throw PhotoError.unreadable }
    let whole = CGRect(x: 0, y: 0, width: image.width, height: image.height)
    context.setFillColor(red: 1, green: 1, blue: 1, alpha: 1)
    context.fill(whole)
    context.draw(image, in: whole)  // converts the profile to sRGB
    guard let bytes = context.data?.assumingMemoryBound(to: UInt8.self) else {
        throw PhotoError.unreadable
    }
    var pixels = Data(capacity: 3 * image.width * image.height)
    for pixel in 0..<(image.width * image.height) {
        pixels.append(bytes + 4 * pixel, count: 3)
    }
    return (pixels, image.height, image.width)
}
