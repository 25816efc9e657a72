assets: lms/static/vendor/.done
