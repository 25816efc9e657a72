from tests import factories as f
def test_smoke(app, client):
    school = f.make_school()
    k = f.make_class(school); f.make_pupils(school, k); t = f.make_teacher(school, k); f.make_room(school)
    assert client.get("/sign-in").status_code == 200
