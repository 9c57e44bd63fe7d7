// The wire of lorgnette for iOS: a unit row as base64 of little-endian float16.
//
// Sample, not built in CI and not run on a phone. Float16 needs iOS 14 (and Apple silicon on macOS).

import Foundation

enum WireError: Error {
    case length(expected: Int, found: Int)
    case notAUnitRow(length: Float)
}

struct PackedVectors: Encodable {
    let dtype = "f16"
    let data: String

    /// Refuses what the server would refuse.
    init(row: [Float], dim: Int) throws {
        guard row.count == dim else { throw WireError.length(expected: dim, found: row.count) }
        let length = row.reduce(0) { $0 + $1 * $1 }.squareRoot()
        guard abs(length - 1) <= 1e-2 else { throw WireError.notAUnitRow(length: length) }
        var bytes = Data(capacity: 2 * dim)
        for value in row {
            let half = Float16(value).bitPattern  // nearest, ties to even
            bytes.append(UInt8(half & 0xff))
            bytes.append(UInt8(half >> 8))
        }
        data = bytes.base64EncodedString()
    }
}

struct SearchRequest: Encodable {
    let space: String
    let student: String
    let vectors: PackedVectors
    let k: Int
}

struct Hit: Decodable {
    let id: String
    let score: Float
}

struct SearchResponse: Decodable {
    let results: [[Hit]]
}

struct Problem: Decodable, Error {
    let type: String
    let title: String
    let status: Int
    let detail: String
    let students: [String]?

    /// "space-mismatch", "too-many-requests", ...: what to act on.
    var code: String { type.replacingOccurrences(of: "urn:lorgnette:problem:", with: "") }
}

func search(_ body: SearchRequest, at service: URL) async throws -> [Hit] {
    var request = URLRequest(url: service.appendingPathComponent("search"))
    request.httpMethod = "POST"
    request.timeoutInterval = 10
    request.setValue("application/json", forHTTPHeaderField: "Content-Type")
    request.httpBody = try JSONEncoder().encode(body)
    let (data, response) = try await URLSession.shared.data(for: request)
    guard (response as? HTTPURLResponse)?.statusCode == 200 else {
        throw try JSONDecoder().decode(Problem.self, from: data)
    }
    return try JSONDecoder().decode(SearchResponse.self, from: data).results[0]
}
