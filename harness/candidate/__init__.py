"""The system under test. The folder is the trust boundary: parent/ is trusted, child/ is not, protocol/ and scan/ are
both's.
"""
